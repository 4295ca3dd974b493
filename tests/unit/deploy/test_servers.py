from deploy.local.servers import FILTER_WINDOW, SESSION_WINDOW
from ingest import table
from ingest.routes import Routes


def test_nats_server_takes_all_filters_of_the_built_in_routes_in_one_session() -> None:
    counted = sum(2 if text.endswith("#") else 1 for text in Routes(table.built_in(), 0).filters)
    assert counted * FILTER_WINDOW <= SESSION_WINDOW, "one subscription would be refused, and ingest never be ready"
