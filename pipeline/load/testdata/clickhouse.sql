-- a.jsonl a.csv a.parquet a.csv.zst
CREATE TABLE IF NOT EXISTS `exp`.`assignments` (
  `run_id` String,
  `row_number` Int64 COMMENT 'the row of the user in the input, from 1',
  `user_id` Nullable(String) COMMENT 'as it was asked about',
  `checkout` Nullable(String) COMMENT 'the variant of the flag',
  `checkout_payload` Nullable(String) COMMENT 'the payload of a flag\'s variant, JSON',
  `evaluated_at` DateTime64(6, 'UTC') COMMENT 'when the answer came',
  `plan` Nullable(String) COMMENT 'column it\'s a plan of the input',
  `price` Nullable(Decimal(12,2)) COMMENT 'the variant of the flag',
  `order` Nullable(Int64) COMMENT 'the variant of the flag',
  `score` Nullable(Float64) COMMENT 'the variant of the flag',
  `beta` Nullable(Bool) COMMENT 'the variant of the flag',
  `born` Nullable(Date32) COMMENT 'the variant of the flag'
) ENGINE = MergeTree PARTITION BY `run_id` ORDER BY `row_number`;
-- There is no transaction: readers miss the run for a moment if it is loaded again.
ALTER TABLE `exp`.`assignments` DROP PARTITION '20260102T030405Z-abcd2345';
INSERT INTO `exp`.`assignments` (`run_id`, `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born`)
SELECT '20260102T030405Z-abcd2345', `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born` FROM file('/data/a.parquet', 'Parquet',
  '`row_number` Int64, `user_id` Nullable(String), `checkout` Nullable(String), `checkout_payload` Nullable(String), `evaluated_at` DateTime64(6, \'UTC\'), `plan` Nullable(String), `price` Nullable(Decimal(12,2)), `order` Nullable(Int64), `score` Nullable(Float64), `beta` Nullable(Bool), `born` Nullable(Date32)');
-- it's.tsv
CREATE TABLE IF NOT EXISTS `exp`.`assignments` (
  `run_id` String,
  `row_number` Int64 COMMENT 'the row of the user in the input, from 1',
  `user_id` Nullable(String) COMMENT 'as it was asked about',
  `checkout` Nullable(String) COMMENT 'the variant of the flag',
  `checkout_payload` Nullable(String) COMMENT 'the payload of a flag\'s variant, JSON',
  `evaluated_at` DateTime64(6, 'UTC') COMMENT 'when the answer came',
  `plan` Nullable(String) COMMENT 'column it\'s a plan of the input',
  `price` Nullable(Decimal(12,2)) COMMENT 'the variant of the flag',
  `order` Nullable(Int64) COMMENT 'the variant of the flag',
  `score` Nullable(Float64) COMMENT 'the variant of the flag',
  `beta` Nullable(Bool) COMMENT 'the variant of the flag',
  `born` Nullable(Date32) COMMENT 'the variant of the flag'
) ENGINE = MergeTree PARTITION BY `run_id` ORDER BY `row_number`;
-- There is no transaction: readers miss the run for a moment if it is loaded again.
ALTER TABLE `exp`.`assignments` DROP PARTITION '20260102T030405Z-abcd2345';
INSERT INTO `exp`.`assignments` (`run_id`, `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born`)
SELECT '20260102T030405Z-abcd2345', `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born` FROM file('/data/it\'s.tsv', 'CSVWithNames',
  '`row_number` Int64, `user_id` Nullable(String), `checkout` Nullable(String), `checkout_payload` Nullable(String), `evaluated_at` DateTime64(6, \'UTC\'), `plan` Nullable(String), `price` Nullable(Decimal(12,2)), `order` Nullable(Int64), `score` Nullable(Float64), `beta` Nullable(Bool), `born` Nullable(Date32)')
SETTINGS format_csv_delimiter = '\t', date_time_input_format = 'best_effort';
-- a.csv.gz
CREATE TABLE IF NOT EXISTS `exp`.`assignments` (
  `run_id` String,
  `row_number` Int64 COMMENT 'the row of the user in the input, from 1',
  `user_id` Nullable(String) COMMENT 'as it was asked about',
  `checkout` Nullable(String) COMMENT 'the variant of the flag',
  `checkout_payload` Nullable(String) COMMENT 'the payload of a flag\'s variant, JSON',
  `evaluated_at` DateTime64(6, 'UTC') COMMENT 'when the answer came',
  `plan` Nullable(String) COMMENT 'column it\'s a plan of the input',
  `price` Nullable(Decimal(12,2)) COMMENT 'the variant of the flag',
  `order` Nullable(Int64) COMMENT 'the variant of the flag',
  `score` Nullable(Float64) COMMENT 'the variant of the flag',
  `beta` Nullable(Bool) COMMENT 'the variant of the flag',
  `born` Nullable(Date32) COMMENT 'the variant of the flag'
) ENGINE = MergeTree PARTITION BY `run_id` ORDER BY `row_number`;
-- There is no transaction: readers miss the run for a moment if it is loaded again.
ALTER TABLE `exp`.`assignments` DROP PARTITION '20260102T030405Z-abcd2345';
INSERT INTO `exp`.`assignments` (`run_id`, `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born`)
SELECT '20260102T030405Z-abcd2345', `row_number`, `user_id`, `checkout`, `checkout_payload`, `evaluated_at`, `plan`, `price`, `order`, `score`, `beta`, `born` FROM file('/data/a.csv.gz', 'CSVWithNames',
  '`row_number` Int64, `user_id` Nullable(String), `checkout` Nullable(String), `checkout_payload` Nullable(String), `evaluated_at` DateTime64(6, \'UTC\'), `plan` Nullable(String), `price` Nullable(Decimal(12,2)), `order` Nullable(Int64), `score` Nullable(Float64), `beta` Nullable(Bool), `born` Nullable(Date32)')
SETTINGS format_csv_delimiter = ',', date_time_input_format = 'best_effort';
