"""What a bucket of device records says: each device joined with its profile. Pure."""

from collections.abc import Collection

from contracts.devices import DeviceRecord, ProfileRecord, decode_profile, decode_record, is_profile_key, joined


class Records:
    """Devices by id, as `contracts.devices.joined` gives them; each is joined once, when it is first asked for."""

    def __init__(self) -> None:
        self._own: dict[str, DeviceRecord] = {}
        self._profiles: dict[str, ProfileRecord] = {}
        self._joined: dict[str, DeviceRecord] = {}
        self._naming: dict[str, set[str]] = {}  # profile -> the devices that name it
        self._ids: dict[str, str] = {}  # key in the bucket -> id: a deletion names only the key

    def __len__(self) -> int:
        """Count the devices."""
        return len(self._own)

    def ids(self) -> tuple[str, ...]:
        """Give the ids of the devices that there are now."""
        return tuple(self._own)

    @property
    def keys(self) -> Collection[str]:
        """The keys of the bucket that are known."""
        return self._ids.keys()

    def get(self, device: str) -> DeviceRecord | None:
        """Return the record of `device`, the same one until it changes, or None if it is not registered."""
        found = self._joined.get(device)
        if found is None and (own := self._own.get(device)) is not None:
            found = self._joined[device] = joined(own, self._profiles.get(own.profile))
        return found

    def learn(self, key: str, data: bytes) -> Collection[str]:
        """Take in what the bucket holds under `key`; returns the devices whose records are others now.

        Raises msgspec.DecodeError if this version cannot read it; then all stays as it was.
        """
        if is_profile_key(key):
            profile = decode_profile(data)
            self._ids[key] = profile.id
            if self._profiles.get(profile.id) == profile:
                return ()
            self._profiles[profile.id] = profile
            return self._anew(profile.id)
        own = decode_record(data)
        self._ids[key] = own.id
        before = self._own.get(own.id)
        if before == own:
            return ()
        if before is not None:
            self._drop(before)
        self._own[own.id] = own
        self._naming.setdefault(own.profile, set()).add(own.id)
        return (own.id,)

    def forget(self, key: str) -> Collection[str]:
        """Take out what was under `key`; returns the devices whose records are others now, or gone."""
        id_ = self._ids.pop(key, None)
        if id_ is None:
            return ()
        if is_profile_key(key):
            return self._anew(id_) if self._profiles.pop(id_, None) is not None else ()
        own = self._own.pop(id_, None)
        if own is None:
            return ()
        self._drop(own)
        return (id_,)

    def _drop(self, own: DeviceRecord) -> None:
        self._joined.pop(own.id, None)
        naming = self._naming[own.profile]
        naming.discard(own.id)
        if not naming:
            del self._naming[own.profile]

    def _anew(self, profile: str) -> Collection[str]:
        """Have the devices of a profile joined again."""
        devices = tuple(self._naming.get(profile, ()))
        for device in devices:
            self._joined.pop(device, None)
        return devices
