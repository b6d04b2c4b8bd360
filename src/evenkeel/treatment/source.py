"""stub"""


def source_of(arm, length, seed):
    return ""
