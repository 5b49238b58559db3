// Package stats is the arithmetic of the auditor's questions: how sure is a share, are the users split as they should
// be, and how many such questions were asked at once. It is pure: counts in, numbers out.
//
//  1. [Wilson] is the interval of a share.
//  2. [Ratio] holds counts against the shares that they should have (the sample-ratio test), [Homogeneity] one group
//     of users against all others. Both give a [Test]: Pearson's chi-squared with its effect size. Where the counts are
//     so small that chi-squared would cry wolf, an exact test has to agree; where they are smaller still there is no
//     test, and Test.None says why.
//  3. [Correct] takes the tests of one family together: the more is tested, the smaller a p-value has to be (Holm).
//     It gives each test its [Verdict]. Without it, one of a thousand healthy slices would raise an alarm, every time.
package stats
