"""What each network's weights and settings are called in the released folder, one file each.

`RULES` pairs our parameter names with theirs, `{}` standing for an index and the last part
(`weight`, `bias`) left out; `to_config` and `from_config` translate the configuration.
"""
