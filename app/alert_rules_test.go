package app_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestEveryAlertHasARunbookAndATest reads the alert rules of deploy/prometheus, which CI also runs in Prometheus.
func TestEveryAlertHasARunbookAndATest(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(read("../deploy/prometheus/rules.yml")), &rules))
	tests := read("../deploy/prometheus/rules_test.yml") + read("../deploy/prometheus/rules_slow_test.yml")
	headings := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(read("../docs/operations.md"), -1) {
		headings[strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")] = true
	}
	alerts := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" {
				continue
			}
			alerts++
			anchor, found := strings.CutPrefix(rule.Annotations["runbook"], "docs/operations.md#")
			require.True(t, found && headings[anchor], "%s has no section in docs/operations.md", rule.Alert)
			require.Contains(t, []string{"page", "ticket"}, rule.Labels["severity"], rule.Alert)
			require.Equal(t, 2, strings.Count(tests, "alertname: "+rule.Alert+"\n"), "%s is tested twice", rule.Alert)
		}
	}
	require.Greater(t, alerts, 20)
}
