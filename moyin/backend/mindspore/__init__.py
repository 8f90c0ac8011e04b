"""The MindSpore side of the facade, in PyNative mode (unverified on Ascend hardware)."""
