package engine

import (
	"fmt"
	"slices"
)

// leaveUnanswered removes the segments of the flags with a regular expression that does not compile, and of those that
// depend on them: without segments no user gets a variant. It returns why, for each of them.
func leaveUnanswered(configs []flagConfig, r *rules) []*ConfigError {
	why := make([]*ConfigError, len(configs))
	type dependent struct {
		flag int
		path string
	}
	dependents := map[string][]dependent{} // by the flag that they depend on
	var queue []int                        // unanswered flags whose dependents are not handled yet
	for i := range configs {
		if why[i] = configs[i].findRegexError(r); why[i] != nil {
			queue = append(queue, i)
			continue
		}
		configs[i].eachDependency(func(path, key string) {
			dependents[key] = append(dependents[key], dependent{i, path})
		})
	}
	for ; len(queue) > 0; queue = queue[1:] {
		key := *configs[queue[0]].Key
		for _, d := range dependents[key] {
			if why[d.flag] == nil {
				why[d.flag] = &ConfigError{*configs[d.flag].Key, d.path, &UnansweredError{key}}
				queue = append(queue, d.flag)
			}
		}
	}
	for i, err := range why {
		if err != nil {
			configs[i].Segments = []segmentConfig{}
		}
	}
	return slices.DeleteFunc(why, func(err *ConfigError) bool { return err == nil })
}

// findRegexError returns the error of the first regular expression that does not compile; nil if they all do.
func (c *flagConfig) findRegexError(r *rules) (failure *ConfigError) {
	c.eachCondition(func(path string, condition *conditionConfig) {
		if op := ops[condition.Op]; failure != nil || op != opRegex && op != opRegexNot {
			return
		}
		for _, pattern := range condition.Values {
			if _, err := r.compileRegex(pattern); err != nil {
				failure = &ConfigError{*c.Key, path, regexError(pattern, err)}
				return
			}
		}
	})
	return failure
}

// eachDependency calls yield for each flag that the result may depend on: the declared dependencies, and flags whose
// result is read without being declared.
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
