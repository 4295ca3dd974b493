"""`python -m deploy.local`: the `sensorium` command without its script."""

from deploy.local.cli import main

main()
