-- A journal as the first format had it, with one run that was refused and one that was just seen. Written once, and not by what
-- reads it now.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    id TEXT PRIMARY KEY, action TEXT NOT NULL, attempt INTEGER NOT NULL, ord INTEGER NOT NULL UNIQUE,
    state TEXT NOT NULL, owes INTEGER NOT NULL, record TEXT NOT NULL, admitted TEXT,
    UNIQUE (action, attempt)
);
CREATE INDEX runs_owing ON runs (ord) WHERE owes = 1;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, run TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL,
    prev TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX events_of_run ON events (run, seq);
CREATE TABLE results (action TEXT PRIMARY KEY, path TEXT NOT NULL, blob TEXT NOT NULL) WITHOUT ROWID;

INSERT INTO meta VALUES ('head', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb');
INSERT INTO runs VALUES ('a@1', 'a', 1, 1, 'published', 0, '{"id":"a@1","state":"published","request":{"path":"vault/actions/a.toml","blob":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","mode":"100644","head":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"order":1,"seen_at":"2026-11-20T12:00:01Z","held":null,"admitted":null,"refusal":{"reason":"secret_absent","message":"secret X is absent","until":null},"slot":null,"grant":null,"policies":[],"backend":null,"handle":null,"started_at":null,"stop":null,"finish":null,"finished_at":null,"outcome":{"path":"vault/actions/a.result.json","result":"{\"exit_code\":125,\"state\":\"rejected\"}\n"},"published":"cccccccccccccccccccccccccccccccccccccccc","kept_aside":null}', NULL);
INSERT INTO runs VALUES ('b@1', 'b', 1, 2, 'seen', 1, '{"id":"b@1","state":"seen","request":{"path":"vault/actions/b.toml","blob":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","mode":"100644","head":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"order":2,"seen_at":"2026-11-20T12:00:05Z","held":null,"admitted":null,"refusal":null,"slot":null,"grant":null,"policies":[],"backend":null,"handle":null,"started_at":null,"stop":null,"finish":null,"finished_at":null,"outcome":null,"published":null,"kept_aside":null}', NULL);
INSERT INTO results VALUES ('a', 'vault/actions/a.result.json', 'dddddddddddddddddddddddddddddddddddddddd');
INSERT INTO events VALUES (1, '2026-11-20T12:00:00Z', '', 'format', '{"format":1}', '', '83d6e45600756635db569942980c7ce20132141a2c7bde28942adf74b69eb8fe');
INSERT INTO events VALUES (2, '2026-11-20T12:00:01Z', 'a@1', 'see', '{"step":"see","request":{"path":"vault/actions/a.toml","blob":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","mode":"100644","head":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}}', '83d6e45600756635db569942980c7ce20132141a2c7bde28942adf74b69eb8fe', 'afbc73b74d61143ab0ca63b56e6560d1f71b64ab18e37bc850ac22cb9822ad8e');
INSERT INTO events VALUES (3, '2026-11-20T12:00:02Z', 'a@1', 'reject', '{"step":"reject","blob":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","reason":"secret_absent","message":"secret X is absent"}', 'afbc73b74d61143ab0ca63b56e6560d1f71b64ab18e37bc850ac22cb9822ad8e', '1260b4755557c843c358b31b92419546bd8bd28a12450bf7b47dfff729dfac73');
INSERT INTO events VALUES (4, '2026-11-20T12:00:03Z', 'a@1', 'settle', '{"step":"settle","path":"vault/actions/a.result.json","result":"{\"exit_code\":125,\"state\":\"rejected\"}\n"}', '1260b4755557c843c358b31b92419546bd8bd28a12450bf7b47dfff729dfac73', '9d1c76693fc1f6b2ff090444ab180f99b07373d1fe6e8be7b47757a725e6a424');
INSERT INTO events VALUES (5, '2026-11-20T12:00:04Z', 'a@1', 'publish', '{"step":"publish","commit":"cccccccccccccccccccccccccccccccccccccccc"}', '9d1c76693fc1f6b2ff090444ab180f99b07373d1fe6e8be7b47757a725e6a424', '6c3ab16f310191f628ac98470028dbdb07a45279d87e4e2aa5da824406bef875');
INSERT INTO events VALUES (6, '2026-11-20T12:00:05Z', 'b@1', 'see', '{"step":"see","request":{"path":"vault/actions/b.toml","blob":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","mode":"100644","head":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}}', '6c3ab16f310191f628ac98470028dbdb07a45279d87e4e2aa5da824406bef875', 'fd73927c8282b0eb8ef3ddcf305f1d117d5a421f95320c297f0edf460973ea4d');
PRAGMA user_version = 1;
