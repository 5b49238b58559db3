// Command kubecheck checks manifests of Kubernetes as its API server does: fields that no type has, defaults, and the
// server's own validation of each object. Pods must also hold the Pod Security Standard "restricted". It prints what
// is wrong, and ends with 1 then.
package main

import (
	"bytes"
	"fmt"
	"os"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/batch"
	batchconv "k8s.io/kubernetes/pkg/apis/batch/v1"
	batchvalid "k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	coreconv "k8s.io/kubernetes/pkg/apis/core/v1"
	corevalid "k8s.io/kubernetes/pkg/apis/core/validation"
	security "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

func main() {
	code := 0
	for _, file := range os.Args[1:] {
		data, err := os.ReadFile(file)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		for i, document := range bytes.Split(data, []byte("\n---\n")) {
			for _, problem := range check(document) {
				fmt.Printf("%s, object %d: %v\n", file, i+1, problem)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// check returns what is wrong with an object.
func check(document []byte) []error {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return []error{err}
	}
	var problems field.ErrorList
	var err error
	switch meta.APIVersion + " " + meta.Kind {
	case "batch/v1 CronJob":
		var versioned batchv1.CronJob
		var object batch.CronJob
		if err = yaml.UnmarshalStrict(document, &versioned); err != nil {
			break
		}
		setNamespace(&versioned.ObjectMeta)
		batchconv.SetObjectDefaults_CronJob(&versioned)
		if err = batchconv.Convert_v1_CronJob_To_batch_CronJob(&versioned, &object, nil); err != nil {
			break
		}
		problems = batchvalid.ValidateCronJobCreate(&object, corevalid.PodValidationOptions{})
		err = checkSecurity(&versioned.Spec.JobTemplate.Spec.Template)
	case "v1 ConfigMap":
		var versioned corev1.ConfigMap
		var object core.ConfigMap
		if err = yaml.UnmarshalStrict(document, &versioned); err != nil {
			break
		}
		setNamespace(&versioned.ObjectMeta)
		if err = coreconv.Convert_v1_ConfigMap_To_core_ConfigMap(&versioned, &object, nil); err != nil {
			break
		}
		problems = corevalid.ValidateConfigMap(&object)
	case "v1 PersistentVolumeClaim":
		var versioned corev1.PersistentVolumeClaim
		var object core.PersistentVolumeClaim
		if err = yaml.UnmarshalStrict(document, &versioned); err != nil {
			break
		}
		setNamespace(&versioned.ObjectMeta)
		coreconv.SetObjectDefaults_PersistentVolumeClaim(&versioned)
		convert := coreconv.Convert_v1_PersistentVolumeClaim_To_core_PersistentVolumeClaim
		if err = convert(&versioned, &object, nil); err != nil {
			break
		}
		problems = corevalid.ValidatePersistentVolumeClaim(&object, corevalid.PersistentVolumeClaimSpecValidationOptions{})
	case "v1 ServiceAccount":
		var versioned corev1.ServiceAccount
		var object core.ServiceAccount
		if err = yaml.UnmarshalStrict(document, &versioned); err != nil {
			break
		}
		setNamespace(&versioned.ObjectMeta)
		if err = coreconv.Convert_v1_ServiceAccount_To_core_ServiceAccount(&versioned, &object, nil); err != nil {
			break
		}
		problems = corevalid.ValidateServiceAccount(&object)
	default:
		err = fmt.Errorf("%s %s is a kind that this check does not know", meta.APIVersion, meta.Kind)
	}
	var all []error
	for _, problem := range problems {
		all = append(all, problem)
	}
	if err != nil {
		all = append(all, err)
	}
	return all
}

// setNamespace gives an object the namespace that kubectl would: manifests leave it out.
func setNamespace(meta *metav1.ObjectMeta) {
	if meta.Namespace == "" {
		meta.Namespace = "default"
	}
}

// checkSecurity has the admission controller's own checks look at a pod.
func checkSecurity(pod *corev1.PodTemplateSpec) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	restricted := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
	if !result.Allowed {
		return fmt.Errorf("not restricted: %s", result.ForbiddenDetail())
	}
	return nil
}
