"""Numbers over time: what programs and clients measured, kept as coarsely as its age allows.

summary.py      Summary: count, sum, bounds and a tally of what was measured in some span of time
statistics.py   what may be asked of a summary: `Average`, `p99`, `TM(10%:90%)`
store.py        Measurements: which metrics there are, and their points
gauge.py        Gauge: what a host takes of the machine
"""

from groundfog.engine.measurements.gauge import Gauge
from groundfog.engine.measurements.store import Bookmark, Last, Measured, Measurements, Metric, Point, Sought
from groundfog.engine.measurements.summary import Summary

__all__ = ["Bookmark", "Gauge", "Last", "Measured", "Measurements", "Metric", "Point", "Sought", "Summary"]
