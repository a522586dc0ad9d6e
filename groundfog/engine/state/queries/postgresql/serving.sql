-- Locks are numbers to PostgreSQL: the first says what for, the second whose schema, so that several servers, each in
-- a schema of its own, can share a database.

-- name: begin#
-- Each statement is to see what was committed before it, whatever the database's own default says.
BEGIN ISOLATION LEVEL READ COMMITTED;

-- name: take_turn^
SELECT pg_advisory_xact_lock(4290, hashtext(current_schema()));

-- name: shut_others_out$
-- True if no connection of any server is there.
SELECT pg_try_advisory_lock(4291, hashtext(current_schema()));

-- name: let_own_in$
SELECT pg_advisory_unlock(4291, hashtext(current_schema()));

-- name: be_there$
-- For as long as the connection lives. False while a server begins to serve.
SELECT pg_try_advisory_lock_shared(4291, hashtext(current_schema()));

-- name: begin_to_serve!
INSERT INTO serving (server) VALUES (:server);

-- name: who_serves$
SELECT server FROM serving ORDER BY number DESC LIMIT 1;

-- name: forget_earlier_servers!
DELETE FROM serving WHERE server <> :server;
