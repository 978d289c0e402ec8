"""Alarms that reach people: what is watched with two bounds each, and how it is told by mail and SNMP."""
