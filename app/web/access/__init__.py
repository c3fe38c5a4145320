"""Who calls, and what they may do: key files, operators' tokens and their issuer, networks.

The trap: a caller who is somebody by default. Nothing here has a fallback: no key, an unknown
issuer or an address outside its networks is nobody.
"""
