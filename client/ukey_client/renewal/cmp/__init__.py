"""CMP, the Certificate Management Protocol (RFC 9810, profile RFC 9483), as both sides speak it.

`syntax` and `crmf` are the ASN.1 of the standards, `message` the typed messages, `decode` and
`encode` the doors between the two, `protection` the signatures.
"""
