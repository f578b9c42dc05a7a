#!/usr/bin/env bash
# Run the container's command with ROS and this package on its paths.
set -e
. /opt/ros/jazzy/setup.bash
. /ws/install/setup.bash
exec "$@"
