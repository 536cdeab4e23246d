"""The certificate holder's client: find the key, log in, bind, seal, renew, change the PIN."""
