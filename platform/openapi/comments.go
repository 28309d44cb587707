package openapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// source provides data from the Go source of types: comments, which become
// descriptions, and typed constants, which become enumerations. Both are therefore
// written only once.
type source struct {
	module, root string
	packages     map[string]packageSource
}

type packageSource struct {
	types  map[string]string            // comments by type
	fields map[string]map[string]string // by type and field
	values map[string][]string          // text constants by their type, in source order
}

func (s *source) of(t reflect.Type) packageSource {
	if found, ok := s.packages[t.PkgPath()]; ok {
		return found
	}
	p := packageSource{map[string]string{}, map[string]map[string]string{}, map[string][]string{}}
	if below, ok := strings.CutPrefix(t.PkgPath(), s.module+"/"); ok {
		files, _ := filepath.Glob(filepath.Join(s.root, below, "*.go"))
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err == nil && !strings.HasSuffix(name, "_test.go") {
				p.read(file)
			}
		}
	}
	s.packages[t.PkgPath()] = p
	return p
}

func (p packageSource) read(file *ast.File) {
	for _, d := range file.Decls {
		general, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				doc := spec.Doc
				if doc == nil {
					doc = general.Doc
				}
				p.types[spec.Name.Name] = doc.Text()
				if structure, ok := spec.Type.(*ast.StructType); ok {
					p.fields[spec.Name.Name] = fieldComments(structure)
				}
			case *ast.ValueSpec:
				p.readConstants(spec)
			}
		}
	}
}

func (p packageSource) readConstants(spec *ast.ValueSpec) {
	name, ok := spec.Type.(*ast.Ident)
	if !ok {
		return
	}
	for _, v := range spec.Values {
		if literal, ok := v.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				p.values[name.Name] = append(p.values[name.Name], text)
			}
		}
	}
}

func fieldComments(structure *ast.StructType) map[string]string {
	all := map[string]string{}
	for _, f := range structure.Fields.List {
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		for _, name := range f.Names {
			all[name.Name] = text
		}
	}
	return all
}

// typeName returns the name of a type without its type arguments.
func typeName(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return name
}

// comment returns the first paragraph of the comment on a type.
func (s *source) comment(t reflect.Type) string { return firstParagraph(s.of(t).types[typeName(t)]) }

// fieldComment returns the first paragraph of the comment on a field.
func (s *source) fieldComment(t reflect.Type, f reflect.StructField) string {
	return firstParagraph(s.of(t).fields[typeName(t)][f.Name])
}

func (s *source) values(t reflect.Type) []string { return s.of(t).values[typeName(t)] }

func firstParagraph(text string) string {
	text, _, _ = strings.Cut(text, "\n\n")
	return strings.Join(strings.Fields(text), " ")
}

func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}
