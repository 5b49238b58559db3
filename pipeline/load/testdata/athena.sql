-- a.jsonl a.csv a.parquet a.csv.zst
-- The directory 's3://BUCKET/exp/' must hold this file alone: Athena reads every file in it.
CREATE EXTERNAL TABLE IF NOT EXISTS `exp`.`assignments` (
  `row_number` bigint COMMENT 'the row of the user in the input, from 1',
  `user_id` string COMMENT 'as it was asked about',
  `checkout` string COMMENT 'the variant of the flag',
  `checkout_payload` string COMMENT 'the payload of a flag\'s variant, JSON',
  `evaluated_at` timestamp COMMENT 'when the answer came',
  `plan` string COMMENT 'column it\'s a plan of the input',
  `price` decimal(12,2) COMMENT 'the variant of the flag',
  `order` bigint COMMENT 'the variant of the flag',
  `score` double COMMENT 'the variant of the flag',
  `beta` boolean COMMENT 'the variant of the flag',
  `born` date COMMENT 'the variant of the flag'
)
PARTITIONED BY (`run_id` string)
STORED AS PARQUET
LOCATION 's3://BUCKET/exp/';
ALTER TABLE `exp`.`assignments` DROP IF EXISTS PARTITION (`run_id` = '20260102T030405Z-abcd2345');
ALTER TABLE `exp`.`assignments` ADD PARTITION (`run_id` = '20260102T030405Z-abcd2345') LOCATION 's3://BUCKET/exp/';
-- it's.tsv
-- athena does not read tsv
-- make the snapshot with an output that it reads, too: parquet
-- a.csv.gz
-- athena does not read csv.gz
-- make the snapshot with an output that it reads, too: parquet
