"""What passed over the wire and when: frames, connections, EVSE status history."""
