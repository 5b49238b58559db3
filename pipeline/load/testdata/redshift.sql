-- a.jsonl a.csv a.parquet a.csv.zst
CREATE TABLE IF NOT EXISTS "exp"."assignments" (
  "run_id" VARCHAR(65535) NOT NULL,
  "row_number" BIGINT NOT NULL,
  "user_id" VARCHAR(65535),
  "checkout" VARCHAR(65535),
  "checkout_payload" VARCHAR(65535),
  "evaluated_at" TIMESTAMP NOT NULL,
  "plan" VARCHAR(65535),
  "price" DECIMAL(12,2),
  "order" BIGINT,
  "score" DOUBLE PRECISION,
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
BEGIN;
CREATE TEMP TABLE rollcall_stage (
  "row_number" BIGINT NOT NULL,
  "user_id" VARCHAR(65535),
  "checkout" VARCHAR(65535),
  "checkout_payload" VARCHAR(65535),
  "evaluated_at" TIMESTAMP NOT NULL,
  "plan" VARCHAR(65535),
  "price" DECIMAL(12,2),
  "order" BIGINT,
  "score" DOUBLE PRECISION,
  "beta" BOOLEAN,
  "born" DATE
);
COPY rollcall_stage FROM 's3://BUCKET/exp/a.parquet' IAM_ROLE default FORMAT AS PARQUET;
DELETE FROM "exp"."assignments" WHERE "run_id" = '20260102T030405Z-abcd2345';
INSERT INTO "exp"."assignments" ("run_id", "row_number", "user_id", "checkout", "checkout_payload", "evaluated_at", "plan", "price", "order", "score", "beta", "born")
  SELECT '20260102T030405Z-abcd2345', "row_number", "user_id", "checkout", "checkout_payload", "evaluated_at", "plan", "price", "order", "score", "beta", "born" FROM rollcall_stage;
COMMIT;
DROP TABLE rollcall_stage;
-- it's.tsv
CREATE TABLE IF NOT EXISTS "exp"."assignments" (
  "run_id" VARCHAR(65535) NOT NULL,
  "row_number" BIGINT NOT NULL,
  "user_id" VARCHAR(65535),
  "checkout" VARCHAR(65535),
  "checkout_payload" VARCHAR(65535),
  "evaluated_at" TIMESTAMP NOT NULL,
  "plan" VARCHAR(65535),
  "price" DECIMAL(12,2),
  "order" BIGINT,
  "score" DOUBLE PRECISION,
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
BEGIN;
CREATE TEMP TABLE rollcall_stage (
  "row_number" BIGINT NOT NULL,
  "user_id" VARCHAR(65535),
  "checkout" VARCHAR(65535),
  "checkout_payload" VARCHAR(65535),
  "evaluated_at" TIMESTAMP NOT NULL,
  "plan" VARCHAR(65535),
  "price" DECIMAL(12,2),
  "order" BIGINT,
  "score" DOUBLE PRECISION,
  "beta" BOOLEAN,
  "born" DATE
);
COPY rollcall_stage FROM 's3://BUCKET/exp/it''s.tsv' IAM_ROLE default FORMAT AS CSV DELIMITER '	' IGNOREHEADER 1 TIMEFORMAT 'auto' EMPTYASNULL;
DELETE FROM "exp"."assignments" WHERE "run_id" = '20260102T030405Z-abcd2345';
INSERT INTO "exp"."assignments" ("run_id", "row_number", "user_id", "checkout", "checkout_payload", "evaluated_at", "plan", "price", "order", "score", "beta", "born")
  SELECT '20260102T030405Z-abcd2345', "row_number", "user_id", "checkout", "checkout_payload", "evaluated_at", "plan", "price", "order", "score", "beta", "born" FROM rollcall_stage;
COMMIT;
DROP TABLE rollcall_stage;
-- a.csv.gz
CREATE TABLE IF NOT EXISTS "exp"."assignments" (
  "run_id" VARCHAR(65535) NOT NULL,
  "row_number" BIGINT NOT NULL,
  "user_id" VARCHAR(65535),
  "checkout" VARCHAR(65535),
  "checkout_payload" VARCHAR(65535),
  "evaluated_at" TIMESTAMP NOT NULL,
  "plan" VARCHAR(65535),
  "price" DECIMAL(12,2),
  "order" BIGINT,
  "score" DOUBLE PRECISION,
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
BEGIN;
CREATE TEMP TABLE rollcall_stage (
  "row_number" BIGINT NOT NULL,
  "user_id" VARCHAR(65535),
  "checkout" VARCHAR(65535),
  "checkout_payload" VARCHAR(65535),
  "evaluated_at" TIMESTAMP NOT NULL,
  "plan" VARCHAR(65535),
  "price" DECIMAL(12,2),
  "order" BIGINT,
  "score" DOUBLE PRECISION,
  "beta" BOOLEAN,
  "born" DATE
);
COPY rollcall_stage FROM 's3://BUCKET/exp/a.csv.gz' IAM_ROLE default FORMAT AS CSV DELIMITER ',' IGNOREHEADER 1 TIMEFORMAT 'auto' EMPTYASNULL GZIP;
DELETE FROM "exp"."assignments" WHERE "run_id" = '20260102T030405Z-abcd2345';
INSERT INTO "exp"."assignments" ("run_id", "row_number", "user_id", "checkout", "checkout_payload", "evaluated_at", "plan", "price", "order", "score", "beta", "born")
  SELECT '20260102T030405Z-abcd2345', "row_number", "user_id", "checkout", "checkout_payload", "evaluated_at", "plan", "price", "order", "score", "beta", "born" FROM rollcall_stage;
COMMIT;
DROP TABLE rollcall_stage;
