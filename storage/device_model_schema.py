"""The device model: variables, reports in parts, configuration as desired state, network profiles."""
