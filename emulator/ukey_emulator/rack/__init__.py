"""Many keys in one process: slots, sockets and the control port."""
