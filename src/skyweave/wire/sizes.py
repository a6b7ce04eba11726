"""Typical sizes on the wire, for those who plan what fits a budget before it is encoded.

What a message really takes depends on its numbers (varints, entropy coding); `docs/wire-format.md` gives every byte.
"""

HEADER_BYTES = 38  # of a chunk without sections, checksum included
POSE_BYTES = 16  # of the section with a pose
CHUNK_PAYLOAD_BYTES = 1150  # of sections in a chunk of 1200 bytes
BOX_BYTES = 11.5  # of a box in a list, on average
