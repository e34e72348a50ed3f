"""The words of the catalogue: topics, their tracks, and what titles are made of."""

from __future__ import annotations

from typing import Final

TOPICS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "Programming": (
        ("Python", "Python编程"),
        ("Web Development", "网页开发"),
        ("Java", "Java编程"),
    ),
    "Data Science": (
        ("Data Analysis", "数据分析"),
        ("SQL and Databases", "数据库"),
        ("Statistics", "统计学"),
    ),
    "Artificial Intelligence": (
        ("Machine Learning", "机器学习"),
        ("Deep Learning", "深度学习"),
        ("Language Models", "大模型"),
    ),
    "Design": (
        ("Graphic Design", "平面设计"),
        ("User Interfaces", "界面设计"),
        ("3D Modelling", "三维建模"),
    ),
    "Marketing": (
        ("Social Media", "新媒体运营"),
        ("Advertising", "广告投放"),
        ("Branding", "品牌策划"),
    ),
    "Finance": (
        ("Accounting", "会计"),
        ("Investing", "投资理财"),
        ("Corporate Finance", "公司金融"),
    ),
    "Languages": (
        ("English Speaking", "英语口语"),
        ("Japanese", "日语"),
        ("Business English", "商务英语"),
    ),
    "Exam Preparation": (
        ("Graduate Entrance", "考研"),
        ("Civil Service", "公务员考试"),
        ("IELTS", "雅思"),
    ),
    "Photography": (
        ("Portraits", "人像摄影"),
        ("Video Editing", "视频剪辑"),
        ("Landscape", "风光摄影"),
    ),
    "Music": (
        ("Guitar", "吉他"),
        ("Piano", "钢琴"),
        ("Singing", "声乐"),
    ),
    "Health": (
        ("Yoga", "瑜伽"),
        ("Nutrition", "营养学"),
        ("Running", "跑步训练"),
    ),
    "Management": (
        ("Project Management", "项目管理"),
        ("Leadership", "领导力"),
        ("Negotiation", "商务谈判"),
    ),
}
"""Topic -> its three tracks, each named in English and Chinese."""
N_TOPICS: Final = len(TOPICS)
N_TRACKS: Final = 3 * N_TOPICS
LEVELS: Final = ("beginner", "intermediate", "advanced", "expert")
TRACK_NAMES: Final = tuple(names for tracks in TOPICS.values() for names in tracks)

LEVEL_EN: Final = (
    ("for Beginners", "from Zero", "First Steps", "Basics"),
    ("in Practice", "Workshop", "the Next Step", "Intermediate Projects"),
    ("Advanced", "in Depth", "for Professionals", "Advanced Case Studies"),
    ("Masterclass", "Expert Seminar", "at Expert Level", "Research Studio"),
)
LEVEL_ZH: Final = (
    ("零基础入门", "快速入门", "新手课", "基础班"),
    ("实战课", "提高班", "项目实战", "中级训练营"),
    ("进阶精讲", "高级专题", "高级案例", "深入解析"),
    ("大师课", "专家研讨", "专家级精修", "前沿研修"),
)
"""Words of a level: one row a level, one of four styles."""
BOOK_EN: Final = (
    "A Field Guide",
    "The Handbook",
    "Explained",
    "A Short History",
    "Questions and Answers",
)
BOOK_ZH: Final = ("手册", "图解", "通识读本", "问答集", "简史")
