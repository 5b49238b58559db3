package engine

import (
	"fmt"
	"slices"
)

// leaveUnanswered takes the segments away from the flags with a regular expression that does not compile, and from
// those that depend on them: without segments nobody gets a variant.
func leaveUnanswered(configs []flagConfig) []*ConfigError {
	why := make([]*ConfigError, len(configs))
	index := map[string]int{}
	for i := range configs {
		index[*configs[i].Key] = i
		why[i] = configs[i].checkRegexes()
	}
	for changed := true; changed; { // until nobody new depends on one; dependencies may be given in any order
		changed = false
		for i := range configs {
			if why[i] != nil {
				continue
			}
			configs[i].eachDependency(func(path, key string) {
				if d, ok := index[key]; ok && why[d] != nil && why[i] == nil {
					why[i] = &ConfigError{*configs[i].Key, path, &UnansweredError{key}}
					changed = true
				}
			})
		}
	}
	for i, err := range why {
		if err != nil {
			configs[i].Segments = []segmentConfig{}
		}
	}
	return slices.DeleteFunc(why, func(err *ConfigError) bool { return err == nil })
}

// checkRegexes is what is wrong with the first regular expression that does not compile; nil: they all do.
func (c *flagConfig) checkRegexes() (failure *ConfigError) {
	c.eachCondition(func(path string, condition *conditionConfig) {
		if op := ops[condition.Op]; failure != nil || op != opRegex && op != opRegexNot {
			return
		}
		for _, pattern := range condition.Values {
			if _, err := compileRegex(pattern); err != nil {
				failure = &ConfigError{*c.Key, path, regexError(pattern, err)}
				return
			}
		}
	})
	return failure
}

// eachDependency names the flags that the answer may depend on: those that are declared, and those whose result is
// read without it.
func (c *flagConfig) eachDependency(yield func(path, key string)) {
	for i, key := range c.Dependencies {
		yield(fmt.Sprintf("dependencies[%d]", i), key)
	}
	selector := func(path string, selector []string) {
		if len(selector) > 1 && selector[0] == "result" {
			yield(path, selector[1])
		}
	}
	c.eachCondition(func(path string, condition *conditionConfig) { selector(path, condition.Selector) })
	for i := range c.Segments {
		if b := c.Segments[i].Bucket; b != nil {
			selector(fmt.Sprintf("segments[%d].bucket", i), b.Selector)
		}
	}
}

func (c *flagConfig) eachCondition(yield func(path string, condition *conditionConfig)) {
	for i := range c.Segments {
		for j, list := range c.Segments[i].Conditions {
			for k := range list {
				yield(fmt.Sprintf("segments[%d].conditions[%d][%d]", i, j, k), &list[k])
			}
		}
	}
}
