-- a.jsonl a.csv a.parquet a.csv.zst
CREATE TABLE IF NOT EXISTS `exp`.`assignments` (
  `run_id` STRING NOT NULL,
  `row_number` INT64 NOT NULL,
  `user_id` STRING,
  `checkout` STRING,
  `checkout_payload` STRING,
  `evaluated_at` TIMESTAMP NOT NULL,
  `plan` STRING,
  `price` BIGNUMERIC(12,2),
  `order` INT64,
  `score` FLOAT64,
  `beta` BOOL,
  `born` DATE
);
LOAD DATA OVERWRITE TEMP TABLE rollcall_stage (
  `row_number` INT64 NOT NULL,
  `user_id` STRING,
  `checkout` STRING,
  `checkout_payload` STRING,
  `evaluated_at` TIMESTAMP NOT NULL,
  `plan` STRING,
  `price` BIGNUMERIC(12,2),
  `order` INT64,
  `score` FLOAT64,
  `beta` BOOL,
  `born` DATE
)
FROM FILES (uris = ['gs://BUCKET/exp/a.parquet'], format = 'PARQUET');
BEGIN TRANSACTION;
DELETE FROM `exp`.`assignments` WHERE `run_id` = '20260102T030405Z-abcd2345';
INSERT INTO `exp`.`assignments` (`run_id`, `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born`)
  SELECT '20260102T030405Z-abcd2345', `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born` FROM rollcall_stage;
COMMIT TRANSACTION;
-- it's.tsv
CREATE TABLE IF NOT EXISTS `exp`.`assignments` (
  `run_id` STRING NOT NULL,
  `row_number` INT64 NOT NULL,
  `user_id` STRING,
  `checkout` STRING,
  `checkout_payload` STRING,
  `evaluated_at` TIMESTAMP NOT NULL,
  `plan` STRING,
  `price` BIGNUMERIC(12,2),
  `order` INT64,
  `score` FLOAT64,
  `beta` BOOL,
  `born` DATE
);
LOAD DATA OVERWRITE TEMP TABLE rollcall_stage (
  `row_number` INT64 NOT NULL,
  `user_id` STRING,
  `checkout` STRING,
  `checkout_payload` STRING,
  `evaluated_at` TIMESTAMP NOT NULL,
  `plan` STRING,
  `price` BIGNUMERIC(12,2),
  `order` INT64,
  `score` FLOAT64,
  `beta` BOOL,
  `born` DATE
)
FROM FILES (uris = ['gs://BUCKET/exp/it\'s.tsv'], format = 'CSV', skip_leading_rows = 1, field_delimiter = '\t', quote = '"',
  allow_quoted_newlines = true);
BEGIN TRANSACTION;
DELETE FROM `exp`.`assignments` WHERE `run_id` = '20260102T030405Z-abcd2345';
INSERT INTO `exp`.`assignments` (`run_id`, `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born`)
  SELECT '20260102T030405Z-abcd2345', `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born` FROM rollcall_stage;
COMMIT TRANSACTION;
-- a.csv.gz
CREATE TABLE IF NOT EXISTS `exp`.`assignments` (
  `run_id` STRING NOT NULL,
  `row_number` INT64 NOT NULL,
  `user_id` STRING,
  `checkout` STRING,
  `checkout_payload` STRING,
  `evaluated_at` TIMESTAMP NOT NULL,
  `plan` STRING,
  `price` BIGNUMERIC(12,2),
  `order` INT64,
  `score` FLOAT64,
  `beta` BOOL,
  `born` DATE
);
LOAD DATA OVERWRITE TEMP TABLE rollcall_stage (
  `row_number` INT64 NOT NULL,
  `user_id` STRING,
  `checkout` STRING,
  `checkout_payload` STRING,
  `evaluated_at` TIMESTAMP NOT NULL,
  `plan` STRING,
  `price` BIGNUMERIC(12,2),
  `order` INT64,
  `score` FLOAT64,
  `beta` BOOL,
  `born` DATE
)
FROM FILES (uris = ['gs://BUCKET/exp/a.csv.gz'], format = 'CSV', skip_leading_rows = 1, field_delimiter = ',', quote = '"',
  allow_quoted_newlines = true);
BEGIN TRANSACTION;
DELETE FROM `exp`.`assignments` WHERE `run_id` = '20260102T030405Z-abcd2345';
INSERT INTO `exp`.`assignments` (`run_id`, `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born`)
  SELECT '20260102T030405Z-abcd2345', `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born` FROM rollcall_stage;
COMMIT TRANSACTION;
