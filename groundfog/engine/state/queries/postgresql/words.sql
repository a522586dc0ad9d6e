-- name: learn_words#
-- What SQLite's queries say and PostgreSQL would not understand.
CREATE OR REPLACE FUNCTION instr(text, text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT strpos($1, $2)';

-- Of texts, found by keys. What JSON can say and PostgreSQL's text cannot (NUL, halves of characters) is left out.
CREATE OR REPLACE FUNCTION json_extract(document text, path text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT regexp_replace(document, '(?<!\\)((\\\\)*)\\u(0000|d[89a-f]..)', '\1', 'g')::json
            #>> string_to_array(substr(path, 3), '.')
    $$;

CREATE OR REPLACE FUNCTION json_each(list text) RETURNS TABLE (value text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT json_array_elements_text(list::json)';

-- name: set_up_serving#
CREATE TABLE IF NOT EXISTS serving (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, server TEXT NOT NULL);
