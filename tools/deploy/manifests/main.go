// Manifests checks the Kubernetes manifests of deploy/kubernetes without a cluster: kustomize builds them, and
// each object is decoded strictly into the API's Go types. A misspelled or misplaced field is an error. It
// also checks that the kustomization names each file, and the rules for a hardened pod.
//
//	go run -C tools/deploy ./manifests ../../deploy/kubernetes
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const kustomization = "kustomization.yaml"

// kinds are the objects that the folder must have, with their numbers.
var kinds = map[string]int{
	"Namespace": 1, "ServiceAccount": 1, "ConfigMap": 1, "Deployment": 1, "Service": 1, "PodDisruptionBudget": 1,
	"NetworkPolicy": 1, "Job": 1,
}

func main() {
	if len(os.Args) != 2 { //nolint:mnd // the program and the folder
		fmt.Fprintln(os.Stderr, "usage: manifests FOLDER")
		os.Exit(2) //nolint:mnd // as for other commands
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check returns all faults of the folder.
func check(dir string) error {
	objects, err := build(dir)
	if err != nil {
		return err
	}
	faults := []error{checkFiles(dir)}
	found := map[string]int{}
	for _, text := range objects {
		object, kind, err := decode(text)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		found[kind]++
		switch o := object.(type) {
		case *appsv1.Deployment:
			faults = append(faults, checkPod(kind, o.Spec.Template.Spec), checkServer(o))
		case *batchv1.Job:
			faults = append(faults, checkPod(kind, o.Spec.Template.Spec))
		}
	}
	for kind, n := range kinds {
		if found[kind] != n {
			faults = append(faults, fmt.Errorf("there are %d objects of the kind %s, and should be %d", found[kind], kind, n))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	fmt.Println(len(objects), "objects are valid")
	return nil
}

// build returns the objects of the folder, as kubectl apply -k sends them.
func build(dir string) ([][]byte, error) {
	all, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	var texts [][]byte
	for _, r := range all.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// decode decodes one object strictly.
func decode(text []byte) (runtime.Object, string, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, "", err
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	object, kind, err := decoder.Decode(text, nil, nil)
	if err != nil {
		return nil, "", fmt.Errorf("%w in\n%s", err, text)
	}
	return object, kind.Kind, nil
}

// checkFiles returns an error for each file that the kustomization does not name.
func checkFiles(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, kustomization))
	if err != nil {
		return err
	}
	var k types.Kustomization
	if err := yaml.UnmarshalStrict(text, &k); err != nil {
		return fmt.Errorf("%s: %w", kustomization, err)
	}
	named := append(slices.Clone(k.Resources), kustomization)
	for _, c := range k.ConfigMapGenerator {
		named = append(named, c.FileSources...)
	}
	files, err := os.ReadDir(dir)
	faults := []error{err}
	for _, f := range files {
		if !slices.Contains(named, f.Name()) {
			faults = append(faults, fmt.Errorf("%s does not name %s", kustomization, f.Name()))
		}
	}
	return errors.Join(faults...)
}

// checkPod checks the rules for a hardened pod: not root, a read-only root, no privileges, no token.
func checkPod(kind string, pod corev1.PodSpec) error {
	var faults []error
	require := func(ok bool, what string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %s", kind, what))
		}
	}
	isTrue := func(b *bool) bool { return b != nil && *b }
	isFalse := func(b *bool) bool { return b != nil && !*b }
	p := pod.SecurityContext
	require(p != nil && isTrue(p.RunAsNonRoot) && p.RunAsUser != nil && *p.RunAsUser > 0, "it may run as root")
	require(p != nil && p.SeccompProfile != nil && p.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"it has no seccomp profile")
	require(isFalse(pod.AutomountServiceAccountToken), "it gets a token for the API of Kubernetes")
	require(isFalse(pod.EnableServiceLinks), "it gets variables of all services")
	for _, c := range pod.Containers {
		s := c.SecurityContext
		hardened := s != nil && isFalse(s.AllowPrivilegeEscalation) && isTrue(s.ReadOnlyRootFilesystem) &&
			s.Capabilities != nil && slices.Contains(s.Capabilities.Drop, "ALL")
		require(hardened, "the container "+c.Name+" has privileges")
		require(!c.Resources.Limits.Memory().IsZero(), "the container "+c.Name+" has no memory limit")
	}
	for _, v := range pod.Volumes {
		if v.Secret != nil {
			require(v.Secret.DefaultMode != nil && *v.Secret.DefaultMode&0o007 == 0, "every user can read "+v.Name)
		}
	}
	return errors.Join(faults...)
}

// checkServer checks the probes, and that a stop has enough time.
func checkServer(d *appsv1.Deployment) error {
	c := d.Spec.Template.Spec.Containers[0]
	if c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil {
		return errors.New("Deployment: a probe is missing")
	}
	if c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/healthz" {
		return errors.New("Deployment: a failing database must not restart the instances")
	}
	return nil
}
