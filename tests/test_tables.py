from benchmarks import tables


def test_block_is_made_from_the_csv_and_the_rest_is_left(tmp_path, monkeypatch):
    (tmp_path / "f.csv").write_text("category,image_auroc,seed\nbottle,0.98765,0\npill,,1\n")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = "before\n<!-- figures: f.csv category image_auroc -->\nold\n<!-- end figures -->\nafter\n"
    expected = (
        "before\n<!-- figures: f.csv category image_auroc -->\n"
        "| category | image auroc |\n| --- | --- |\n| bottle | 98.8 |\n| pill | - |\n"
        "<!-- end figures -->\nafter\n"
    )
    assert tables.fill(text) == expected
    assert tables.fill(expected) == expected


def test_comparison_with_the_paper_is_made_from_the_rows_of_the_reproduction(tmp_path, monkeypatch):
    (tmp_path / "overall.csv").write_text(
        "pretext,category,seed,image_auroc,pixel_auroc\ntwelve,bottle,0,0.9876,0.9\ntwelve,bottle,1,0.9878,0.9\n"
    )
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    filled = tables.fill("<!-- figures: table2 -->\nold\n<!-- end figures -->\n")
    assert "| bottle | 99.9 | 99.9 (RIAD) | 98.8 | -1.1 | 0.0 |" in filled and "old" not in filled
    assert tables.fill(filled) == filled
