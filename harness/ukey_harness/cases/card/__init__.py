"""The cases of a card in a reader: PC/SC, the transport of APDUs, and PIV."""
