package main

import (
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/blob/azure"
	"github.com/rollcall-cli/rollcall/pipeline/blob/gcs"
	"github.com/rollcall-cli/rollcall/pipeline/blob/s3"
)

// newStores returns the stores that paths can name. Nothing is looked for, or sent, before one does.
func newStores() *blob.Stores {
	return blob.NewStores(map[string]blob.Store{"s3": s3.Store, "gs": gcs.Store, "az": azure.Store})
}
