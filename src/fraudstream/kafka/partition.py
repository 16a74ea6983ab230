"""The client's own pair of topic and partition with an offset, for those who must not import the client."""

from confluent_kafka import TopicPartition as TopicPartition

__all__ = ["TopicPartition"]
