"""What the cloud orders of locks: commands, access lists, desired states; asked for, sent, answered, kept."""
