-- a.jsonl a.csv a.parquet a.csv.zst
-- for psql, which reads the file
\set ON_ERROR_STOP on
CREATE TABLE IF NOT EXISTS "exp"."assignments" (
  "run_id" text NOT NULL,
  "row_number" bigint NOT NULL,
  "user_id" text,
  "checkout" text,
  "checkout_payload" json,
  "evaluated_at" timestamptz NOT NULL,
  "plan" text,
  "price" numeric(12,2),
  "order" bigint,
  "score" double precision,
  "beta" boolean,
  "born" date
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
BEGIN;
CREATE TEMP TABLE rollcall_stage (
  "row_number" bigint NOT NULL,
  "user_id" text,
  "checkout" text,
  "checkout_payload" json,
  "evaluated_at" timestamptz NOT NULL,
  "plan" text,
  "price" numeric(12,2),
  "order" bigint,
  "score" double precision,
  "beta" boolean,
  "born" date
) ON COMMIT DROP;
\copy rollcall_stage FROM '/data/a.csv' WITH (FORMAT csv, HEADER true, DELIMITER ',', NULL '', ENCODING 'UTF8')
DELETE FROM "exp"."assignments" WHERE "run_id" = '20260102T030405Z-abcd2345';
INSERT INTO "exp"."assignments" ("run_id", "row_number", "user_id", "checkout", "checkout_payload", "evaluated_at", "plan", "price", "order", "score", "beta", "born")
  SELECT '20260102T030405Z-abcd2345', "row_number", "user_id", "checkout", "checkout_payload", "evaluated_at", "plan", "price", "order", "score", "beta", "born" FROM rollcall_stage;
COMMIT;
-- it's.tsv
-- for psql, which reads the file
\set ON_ERROR_STOP on
CREATE TABLE IF NOT EXISTS "exp"."assignments" (
  "run_id" text NOT NULL,
  "row_number" bigint NOT NULL,
  "user_id" text,
  "checkout" text,
  "checkout_payload" json,
  "evaluated_at" timestamptz NOT NULL,
  "plan" text,
  "price" numeric(12,2),
  "order" bigint,
  "score" double precision,
  "beta" boolean,
  "born" date
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
BEGIN;
CREATE TEMP TABLE rollcall_stage (
  "row_number" bigint NOT NULL,
  "user_id" text,
  "checkout" text,
  "checkout_payload" json,
  "evaluated_at" timestamptz NOT NULL,
  "plan" text,
  "price" numeric(12,2),
  "order" bigint,
  "score" double precision,
  "beta" boolean,
  "born" date
) ON COMMIT DROP;
\copy rollcall_stage FROM '/data/it''s.tsv' WITH (FORMAT csv, HEADER true, DELIMITER '	', NULL '', ENCODING 'UTF8')
DELETE FROM "exp"."assignments" WHERE "run_id" = '20260102T030405Z-abcd2345';
INSERT INTO "exp"."assignments" ("run_id", "row_number", "user_id", "checkout", "checkout_payload", "evaluated_at", "plan", "price", "order", "score", "beta", "born")
  SELECT '20260102T030405Z-abcd2345', "row_number", "user_id", "checkout", "checkout_payload", "evaluated_at", "plan", "price", "order", "score", "beta", "born" FROM rollcall_stage;
COMMIT;
-- a.csv.gz
-- postgres does not read csv.gz
-- make the snapshot with an output that it reads, too: csv tsv
