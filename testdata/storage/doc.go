// Package storage tests rollcall with real object stores, which the tests start: versitygw for S3, Azurite for Azure,
// and fake-gcs-server for Google Cloud Storage. The servers' Go modules are in testdata/stores. Run it by make storage.
package storage
