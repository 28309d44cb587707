package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
)

// bigModules are the modules whose inner structure is measured.
var bigModules = []string{"authorization", "appointments", "rbac"}

// structureRows measures the arrows and the methods of the big modules.
func structureRows(root string) ([]row, error) {
	var rows, methods []row
	for _, module := range bigModules {
		found, err := load(filepath.Join(root), "./modules/"+module+"/...")
		if err != nil {
			return nil, err
		}
		up, all := 0, 0
		for _, p := range found {
			g := callGraph(p)
			up += g.up(g.order())
			all += g.total()
		}
		rows = append(rows, row{"arrows that run up in " + module + ", of all arrows", fmt.Sprintf("%d of %d", up, all)})
		most, name := mostMethods(found)
		methods = append(methods, row{"methods of the type with most in " + module, fmt.Sprintf("%d (%s)", most, name)})
	}
	return append(rows, methods...), nil
}

func load(root, pattern string) ([]*packages.Package, error) {
	const need = packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes |
		packages.NeedTypesInfo | packages.NeedImports | packages.NeedExportFile
	found, err := packages.Load(&packages.Config{Mode: need, Dir: root}, pattern)
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		if len(p.Errors) > 0 {
			return nil, p.Errors[0]
		}
	}
	return found, nil
}

// graph is the graph of a package's files. An arrow is a call of a function or a method
// that another file declares, or another reference to it.
type graph struct {
	files []string
	// arrows counts the arrows by the file in which they begin and the file to which they lead.
	arrows map[int]map[int]int
}

func callGraph(p *packages.Package) graph {
	g := graph{arrows: map[int]map[int]int{}}
	index := map[string]int{}
	for i, file := range p.Syntax {
		name := p.Fset.Position(file.Pos()).Filename
		index[name] = i
		g.files = append(g.files, filepath.Base(name))
		g.arrows[i] = map[int]int{}
	}
	for i, file := range p.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			f, ok := p.TypesInfo.Uses[id].(*types.Func)
			if !ok || f.Pkg() != p.Types {
				return true
			}
			if j, ok := index[p.Fset.Position(f.Origin().Pos()).Filename]; ok && j != i {
				g.arrows[i][j]++
			}
			return true
		})
	}
	return g
}

func (g graph) total() int {
	n := 0
	for _, all := range g.arrows {
		for _, references := range all {
			n += references
		}
	}
	return n
}

// up counts the arrows that lead to a file earlier in the order.
func (g graph) up(order []int) int {
	position := make([]int, len(order))
	for i, file := range order {
		position[file] = i
	}
	n := 0
	for from, all := range g.arrows {
		for to, references := range all {
			if position[to] < position[from] {
				n += references
			}
		}
	}
	return n
}

// order arranges the files so that few arrows run up. The layers come in their order. Within
// a layer, each file moves to its best position until no move helps.
func (g graph) order() []int {
	var order []int
	for layer := range layers {
		for file, name := range g.files {
			if layerOf(name) == layer {
				order = append(order, file)
			}
		}
	}
	for improved := true; improved; {
		improved = false
		for _, file := range append([]int(nil), order...) {
			best, least := order, g.up(order)
			for i := range order {
				moved := g.move(order, file, i)
				if n := g.up(moved); n < least && g.keepsLayers(moved) {
					best, least, improved = moved, n, true
				}
			}
			order = best
		}
	}
	return order
}

// move returns the order with the file at another index.
func (g graph) move(order []int, file, index int) []int {
	moved := make([]int, 0, len(order))
	for _, f := range order {
		if f != file {
			moved = append(moved, f)
		}
	}
	return append(moved[:index], append([]int{file}, moved[index:]...)...)
}

// layers is the number of layers: requests, use cases, and everything below them.
const layers = 3

// layerOf returns the layer that a file name states. All other files count as the lowest
// layer.
func layerOf(name string) int {
	switch {
	case strings.HasPrefix(name, "http"):
		return 0
	case strings.HasPrefix(name, "service"):
		return 1
	}
	return 2
}

// keepsLayers reports whether no file precedes one of a higher layer.
func (g graph) keepsLayers(order []int) bool {
	for i := 1; i < len(order); i++ {
		if layerOf(g.files[order[i]]) < layerOf(g.files[order[i-1]]) {
			return false
		}
	}
	return true
}

// mostMethods returns the number of methods and the name of the type that has most.
func mostMethods(found []*packages.Package) (int, string) {
	most, name := 0, ""
	for _, p := range found {
		scope := p.Types.Scope()
		for _, each := range scope.Names() {
			declared, ok := scope.Lookup(each).(*types.TypeName)
			if !ok {
				continue
			}
			if t, ok := declared.Type().(*types.Named); ok && t.NumMethods() > most {
				most, name = t.NumMethods(), p.Name+"."+each
			}
		}
	}
	return most, name
}
