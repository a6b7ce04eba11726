"""What a node perceives with: detections of its own, late or intermediate fusion."""
