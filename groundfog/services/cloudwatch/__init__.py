"""CloudWatch: metrics that programs and clients put, told back as statistics over periods.

There are no alarms and no dashboards, and metric math is refused by its name.
"""
