"""The toolkit of all nodes: interfaces, QoS, parameters, processes, conversion."""
