"""One recording on disk: a rosbag2 folder with one MCAP file."""

from __future__ import annotations

from pathlib import Path

from rosbags.interfaces import Connection  # pyright: ignore[reportMissingImports]
from rosbags.rosbag2 import StoragePlugin, Writer  # pyright: ignore[reportMissingImports]
from rosbags.rosbag2.errors import WriterError  # pyright: ignore[reportMissingImports]

from agents.recording.messages import STORE, TYPES, Message


class BagError(OSError):
    """A recording could not be written."""


class Bag:
    """Writes messages; `close` makes it complete. A bag that is not closed (a killed process) holds what was written up to the last megabyte."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises BagError when it is there already or cannot be made."""
        self.folder = folder
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._connections: dict[str, Connection] = {}
        try:
            self._writer.open()
        except (OSError, WriterError) as error:
            raise BagError(f"{folder} cannot be written: {error}") from error

    def write(self, at_ns: int, message: Message) -> None:
        """Add a message. Raises OSError when the disk is full or gone."""
        connection = self._connections.get(message.topic)
        if connection is None:
            connection = self._connections[message.topic] = self._writer.add_connection(
                message.topic, TYPES[message.topic], typestore=STORE
            )
        self._writer.write(connection, at_ns, message.data)

    def close(self) -> None:
        """Write what is left and the index. Raises OSError when the disk is full or gone."""
        self._writer.close()

    def abandon(self) -> None:
        """Close it without index, after an error. Never raises."""
        try:
            self._writer.abort()
        except (OSError, ValueError):
            return
