"""Keys of the subjects of personal data: their topic, their masters, and what a process holds of them (rule E4)."""

from eventstore.subject_keys.forgetting import ForgetUnfinished
from eventstore.subject_keys.keys import SubjectForgotten, SubjectKeys, key_topic
from eventstore.subject_keys.masters import LocalMasterKeys, MasterKeys, WrappedKey
from eventstore.subject_keys.subjects import check_subject

__all__ = [
    "ForgetUnfinished",
    "LocalMasterKeys",
    "MasterKeys",
    "SubjectForgotten",
    "SubjectKeys",
    "WrappedKey",
    "check_subject",
    "key_topic",
]
