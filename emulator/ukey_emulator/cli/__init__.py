"""The emulator's commands of `ukey`, each in the module of its name."""
