"""The machine: devices, memory, files, locks, streams and the terminal."""
