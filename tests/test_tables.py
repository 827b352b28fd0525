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
