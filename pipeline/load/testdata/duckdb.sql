-- a.jsonl a.csv a.parquet a.csv.zst
CREATE TABLE IF NOT EXISTS "exp"."assignments" (
  "run_id" VARCHAR NOT NULL,
  "row_number" BIGINT NOT NULL,
  "user_id" VARCHAR,
  "checkout" VARCHAR,
  "checkout_payload" JSON,
  "evaluated_at" TIMESTAMPTZ NOT NULL,
  "plan" VARCHAR,
  "price" DECIMAL(12,2),
  "order" BIGINT,
  "score" DOUBLE,
  "beta" BOOLEAN,
  "born" DATE
);
COMMENT ON TABLE "exp"."assignments" IS 'which variants users get, made by rollcall';
COMMENT ON COLUMN "exp"."assignments"."row_number" IS 'the row of the user in the input, from 1';
COMMENT ON COLUMN "exp"."assignments"."user_id" IS 'as it was asked about';
COMMENT ON COLUMN "exp"."assignments"."checkout" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."checkout_payload" IS 'the payload of a flag''s variant, JSON';
COMMENT ON COLUMN "exp"."assignments"."evaluated_at" IS 'when the answer came';
COMMENT ON COLUMN "exp"."assignments"."plan" IS 'column it''s a plan of the input';
COMMENT ON COLUMN "exp"."assignments"."price" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."order" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."score" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."beta" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."born" IS 'the variant of the flag';
BEGIN TRANSACTION;
DELETE FROM "exp"."assignments" WHERE "run_id" = '20260102T030405Z-abcd2345';
INSERT INTO "exp"."assignments" BY NAME SELECT '20260102T030405Z-abcd2345' AS "run_id", * FROM read_parquet('/data/a.parquet');
COMMIT;
-- it's.tsv
CREATE TABLE IF NOT EXISTS "exp"."assignments" (
  "run_id" VARCHAR NOT NULL,
  "row_number" BIGINT NOT NULL,
  "user_id" VARCHAR,
  "checkout" VARCHAR,
  "checkout_payload" JSON,
  "evaluated_at" TIMESTAMPTZ NOT NULL,
  "plan" VARCHAR,
  "price" DECIMAL(12,2),
  "order" BIGINT,
  "score" DOUBLE,
  "beta" BOOLEAN,
  "born" DATE
);
COMMENT ON TABLE "exp"."assignments" IS 'which variants users get, made by rollcall';
COMMENT ON COLUMN "exp"."assignments"."row_number" IS 'the row of the user in the input, from 1';
COMMENT ON COLUMN "exp"."assignments"."user_id" IS 'as it was asked about';
COMMENT ON COLUMN "exp"."assignments"."checkout" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."checkout_payload" IS 'the payload of a flag''s variant, JSON';
COMMENT ON COLUMN "exp"."assignments"."evaluated_at" IS 'when the answer came';
COMMENT ON COLUMN "exp"."assignments"."plan" IS 'column it''s a plan of the input';
COMMENT ON COLUMN "exp"."assignments"."price" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."order" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."score" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."beta" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."born" IS 'the variant of the flag';
BEGIN TRANSACTION;
DELETE FROM "exp"."assignments" WHERE "run_id" = '20260102T030405Z-abcd2345';
INSERT INTO "exp"."assignments" BY NAME SELECT '20260102T030405Z-abcd2345' AS "run_id", * FROM read_csv('/data/it''s.tsv', header = true, delim = '	', quote = '"', escape = '"', nullstr = '',
  allow_quoted_nulls = false, auto_detect = false, columns = {'row_number': 'BIGINT', 'user_id': 'VARCHAR', 'checkout': 'VARCHAR', 'checkout_payload': 'JSON', 'evaluated_at': 'TIMESTAMPTZ', 'plan': 'VARCHAR', 'price': 'DECIMAL(12,2)', 'order': 'BIGINT', 'score': 'DOUBLE', 'beta': 'BOOLEAN', 'born': 'DATE'});
COMMIT;
-- a.csv.gz
CREATE TABLE IF NOT EXISTS "exp"."assignments" (
  "run_id" VARCHAR NOT NULL,
  "row_number" BIGINT NOT NULL,
  "user_id" VARCHAR,
  "checkout" VARCHAR,
  "checkout_payload" JSON,
  "evaluated_at" TIMESTAMPTZ NOT NULL,
  "plan" VARCHAR,
  "price" DECIMAL(12,2),
  "order" BIGINT,
  "score" DOUBLE,
  "beta" BOOLEAN,
  "born" DATE
);
COMMENT ON TABLE "exp"."assignments" IS 'which variants users get, made by rollcall';
COMMENT ON COLUMN "exp"."assignments"."row_number" IS 'the row of the user in the input, from 1';
COMMENT ON COLUMN "exp"."assignments"."user_id" IS 'as it was asked about';
COMMENT ON COLUMN "exp"."assignments"."checkout" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."checkout_payload" IS 'the payload of a flag''s variant, JSON';
COMMENT ON COLUMN "exp"."assignments"."evaluated_at" IS 'when the answer came';
COMMENT ON COLUMN "exp"."assignments"."plan" IS 'column it''s a plan of the input';
COMMENT ON COLUMN "exp"."assignments"."price" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."order" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."score" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."beta" IS 'the variant of the flag';
COMMENT ON COLUMN "exp"."assignments"."born" IS 'the variant of the flag';
BEGIN TRANSACTION;
DELETE FROM "exp"."assignments" WHERE "run_id" = '20260102T030405Z-abcd2345';
INSERT INTO "exp"."assignments" BY NAME SELECT '20260102T030405Z-abcd2345' AS "run_id", * FROM read_csv('/data/a.csv.gz', header = true, delim = ',', quote = '"', escape = '"', nullstr = '',
  allow_quoted_nulls = false, auto_detect = false, columns = {'row_number': 'BIGINT', 'user_id': 'VARCHAR', 'checkout': 'VARCHAR', 'checkout_payload': 'JSON', 'evaluated_at': 'TIMESTAMPTZ', 'plan': 'VARCHAR', 'price': 'DECIMAL(12,2)', 'order': 'BIGINT', 'score': 'DOUBLE', 'beta': 'BOOLEAN', 'born': 'DATE'});
COMMIT;
