"""What tests share: private servers on free ports, and waiting with a deadline instead of sleeping."""
