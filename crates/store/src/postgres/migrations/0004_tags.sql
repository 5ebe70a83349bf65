-- Tags as their index has them: ASCII's letters in lower case, whatever the database's locale.
CREATE FUNCTION logferry_folded(tags text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT lower(tags::text COLLATE "C")::text[] $$;
