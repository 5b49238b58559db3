// Package stats is the arithmetic of report and check: how certain is a share, are users split as they should be, and
// how many such questions were asked at once. It is pure: counts in, numbers out.
//
//  1. [Wilson] is the confidence interval of a share.
//  2. [Ratio] compares counts with the shares that they should have (the sample-ratio test), [Homogeneity] compares
//     one group of users with all others, and [Apart] combines both. Each gives a [Test]: Pearson's chi-squared with
//     its effect size. Where the counts are so small that chi-squared raises false alarms, an exact test has to
//     agree; where they are smaller still there is no test, and Test.None says why.
//  3. [Correct] takes the tests of one family together: the more tests, the smaller a p-value has to be (Holm). It
//     sets the [Verdict] of each. Without it, one of a thousand healthy slices would raise an alarm every time.
//  4. [Distinct] counts users among rows in bounded memory, and says whether the [Unit] of all counts is users or
//     rows.
package stats
