"""The link between platforms: transports, topics, envelopes, trust, clocks, rate limits."""
