-- name: put_metric!
-- The last value is the one that was measured last, whenever it came.
INSERT INTO metric (id, namespace, name, dimensions, written, last_value, last_at)
VALUES (:id, :namespace, :name, :dimensions, :written, :value, :at)
ON CONFLICT (id) DO UPDATE SET
    written = excluded.written,
    last_value = CASE WHEN excluded.last_at >= metric.last_at THEN excluded.last_value ELSE metric.last_value END,
    last_at = CASE WHEN excluded.last_at >= metric.last_at THEN excluded.last_at ELSE metric.last_at END;

-- name: find_metric^
SELECT namespace, name, dimensions, written, last_value, last_at FROM metric WHERE id = :id;

-- name: metrics_after
-- In order, those written since `since`; the empty string stands for any namespace or name.
SELECT id, namespace, name, dimensions FROM metric
WHERE (:namespace = '' OR namespace = :namespace)
  AND (:name = '' OR name = :name)
  AND written >= :since
  AND (namespace, name, dimensions, id) > (:after_namespace, :after_name, :after_dimensions, :after_id)
ORDER BY namespace, name, dimensions, id LIMIT :most;

-- name: find_metric_point^
SELECT count, total, low, high, tally FROM metric_point
WHERE metric = :metric AND at = :at AND seconds = :seconds AND unit = :unit;

-- name: put_metric_point!
INSERT INTO metric_point (metric, at, seconds, unit, count, total, low, high, tally)
VALUES (:metric, :at, :seconds, :unit, :count, :total, :low, :high, :tally)
ON CONFLICT (metric, at, seconds, unit) DO UPDATE SET
    count = excluded.count, total = excluded.total, low = excluded.low, high = excluded.high, tally = excluded.tally;

-- name: metric_points
-- In the order of time, from `start` up to but not `end`; the empty string stands for any unit.
SELECT at, seconds, unit, count, total, low, high, tally FROM metric_point
WHERE metric = :metric AND at >= :start AND at < :end AND (:unit = '' OR unit = :unit)
ORDER BY at, unit, seconds;

-- name: aged_metric_points
SELECT metric, at, seconds, unit, count, total, low, high, tally FROM metric_point
WHERE seconds = :seconds AND at < :before ORDER BY at, metric, unit LIMIT :most;

-- name: delete_metric_point!
DELETE FROM metric_point WHERE metric = :metric AND at = :at AND seconds = :seconds AND unit = :unit;

-- name: delete_metrics_written_before!
DELETE FROM metric WHERE written < :before;

-- name: find_bookmark^
SELECT position FROM metric_bookmark WHERE log_group = :log_group AND log_stream = :log_stream;

-- name: put_bookmark!
INSERT INTO metric_bookmark (log_group, log_stream, position) VALUES (:log_group, :log_stream, :position)
ON CONFLICT (log_group, log_stream) DO UPDATE SET position = excluded.position;
