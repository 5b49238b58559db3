package engine_test

import (
	"fmt"
	"log"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// Flag configurations are compiled once, and then evaluated for any number of users, from any number of goroutines.
func ExampleParse() {
	configs := `[{
		"key": "checkout",
		"variants": {"treatment": {"key": "treatment"}, "off": {"key": "off", "metadata": {"default": true}}},
		"segments": [
			{"conditions": [[{"selector": ["context", "user", "country"], "op": "is", "values": ["Germany"]}]], "variant": "treatment"},
			{"variant": "off"}
		]
	}]`
	eng, err := engine.Parse([]byte(configs), engine.Hosted)
	if err != nil {
		log.Fatal(err)
	}
	for _, country := range []string{"Germany", "France"} {
		user := pipeline.User{UserID: "ana", Context: []pipeline.Member{{Name: "country",
			Value: pipeline.StringValue(country)}}}
		for _, v := range eng.Evaluate(&user, nil) {
			fmt.Printf("%s: %s gets %s; the API answers it: %v\n", country, v.FlagKey, v.Key, v.Answered())
		}
	}
	// Output:
	// Germany: checkout gets treatment; the API answers it: true
	// France: checkout gets off; the API answers it: false
}
