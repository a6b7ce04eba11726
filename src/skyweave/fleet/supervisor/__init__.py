"""Nodes as processes: started, watched, restarted."""
